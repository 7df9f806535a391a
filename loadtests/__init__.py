"""Load tests and benchmarks: how much axia serves, how fast, and beside what else.

python -m loadtests               open-loop load on a gateway, with budgets, as JSON and HTML
python -m loadtests.benchmark     axia and its rivals on this machine, in one run

plan         what a run sends: phases, scenarios, budgets; plans/ has some
shapes       when calls arrive: steady, Poisson, ramp, spike, soak
traces       arrivals from a file
scenarios/   what a call is: detection, stream, watch, ISQ scores, search, each over gRPC or HTTP
driver       sends each call at its time, whatever became of those before
figures      rates, percentiles and errors of what was recorded
budgets      limits that fail a run
report/      the result as JSON, text and a page
servers      processes on this machine to measure
machine      where and with what something was measured
"""
