"""How far judges of alignment agree with people, and what that makes of their numbers.

    labels    reads rows that people labelled, and rows without labels
    asking    asks a judge about rows
    figures   agreement with the labels: κ, precision, recall, F1, with intervals
    choice    which judge to use, and what speaks against it
    ppi       a mean over many unlabelled rows, corrected by few labelled ones
    card      the figures as a file that reports print beside numbers

`axia judges` is the command line of these; they need no more than the client, but for `ppi`, which wants ppi-python.
"""
