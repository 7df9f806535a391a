"""The reader model: what reads answers in the scoring service.

    corpus               labelled texts by many authors, and which authors are held out
    examples             what the network learns from: pairs, triples, sentences, answers; older and perturb add to them
    network, train       the network and its training
    export, calibrate    the model as the service loads it, and its thresholds
    evaluate*, curve     figures on authors to whom nothing was fitted; card writes them down

`make reader-model` runs these in order.
"""
