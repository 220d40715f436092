"""The speed and memory we claim, measured beside peers in one run. See `docs/performance.md`.

server    a stub gateway in a process of its own, every byte made beforehand
peers     one short function per client and kind of work
measure   runs one of them in a process of its own, and says what it took
figures   what is promised, and whether it is met
report    the table and the plot
__main__  `make bench`
"""
