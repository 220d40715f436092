"""The speed and memory we claim, measured beside peers in one run. See `docs/performance.md`.

server    a stub gateway in a process of its own, every byte made beforehand
jobs      the kinds of work, and who does each
peers     one short function per client: one reply, short, long or with an image
many      the same, many at once
sending   images on their way out
hosts     whole programs, checkpoints, galleries
measure   runs one of them in a process of its own, and says what it took
figures   what is promised, and whether it is met
report    the table and the plot
__main__  `make bench`
"""
