"""axia and what a user would run instead, measured in one run on one machine: python -m loadtests.benchmark

Repetitions are interleaved in random order, so that whatever else the machine does meets all; while one is measured the
processes of the others are stopped (SIGSTOP), because some of them spin. Figures are medians over the repetitions with
intervals, and ratios are paired within a repetition.

    rows         what is compared with what, and the goals
    runner       a run: the setups one after the other, and on each the repetitions in random order
    setups/      the servers that rows need, and the sides that they make
    sides        one way to get an answer: its processes and its call
    axias        axia's sides
    cameras      those whose images come from cameras
    rivals       the others: vLLM's OpenAI server, AsyncLLM in a bare loop, a bare gRPC proxy and echo, numpy
    measuring    a steady load with a window, processor time, memory
    intervals    medians with intervals over repetitions
    table        the result as JSON and as a table in Markdown
    children/    programs that the rivals are

The other modules measure one part each, as `python -m loadtests.benchmark.NAME`; docs/performance.md has their figures.
"""
