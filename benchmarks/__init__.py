"""Benchmarks of speed and memory, compared with peers in one run. See `docs/performance.md`.

server    a stub gateway in its own process, with all responses prepared beforehand
jobs      the kinds of work, and their clients
peers     one short function per client: a reply that is short, long or has an image
many      the same with many concurrent calls
sending   outgoing images
hosts     complete programs, checkpoints and galleries
measure   runs one of them in its own process, and reports time and memory
figures   the promised figures, and whether they are met
report    the table and the plot
__main__  `make bench`
"""
