"""The report: one page, standing alone, of all that was made so far. Each file gathers one of its parts.

found     what is on disk (light: the Snakefile asks it)
tables    a finished table's page, and a figure's csv, as rows of texts
runs      what was trained, with which settings, versions, machine, time and memory, and the learning curves
steps     what the other jobs took
media     items that lack media
texts     durations and memory as people read them
build     all of these in the template below page/, with its style and its script
"""
