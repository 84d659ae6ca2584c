"""The whole system in one process and one thread, in virtual time, under faults drawn from a seed.

`make simulate SEED=n RUNS=m` runs the seeds n to n+m-1. Each seed draws a small installation, what
its people do, and which faults strike (a "swarm": a random subset of the kinds). The services are
the real ones, built as in production; only what surrounds them is replaced:

- `clock`: an event loop whose time passes at once, and ids that are drawn from the seed;
- `storage`: SQLite in memory, its writer on the loop instead of in a thread;
- `faults`: what may go wrong, and the trace of all that happened;
- `cluster`: processes that crash and come back, and the calls between them;
- `shop`: the people and machines outside: tills, an outside point of sale, stores, operators;
- `auditor`: an independent, simple model that knows what is right, and shares no rule with the
  services: it reads what was committed, and asks the public RPCs at every quiet moment;
- `audit`, `shelves`, `accounts`: what must be true then, of orders, of stock, and of what became of
  each line and each cent;
- `scenario`: one seed from beginning to end; `shrink`: the shortest history that still fails;
- `bugs`: bugs to plant, so that it is known that they are found.

The same seed gives the same trace, in any process: its hash is printed. A seed that failed once is
kept in `seeds.txt` and runs with the tests.
"""
