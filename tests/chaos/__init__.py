"""Real processes, real databases, and what may happen to them: kill -9, and clocks that are wrong.

A run is told by a plan and a seed, and leaves a history: what was asked and answered, who was
killed when and ready again when, which clock was off, and in the end what the databases hold. The
checker, `tillbridge check-history`, reads the history and nothing else, and decides.

    plan          what is to happen, and how much of it
    errands       what stores and tills ask for, made from the seed
    clients       how they ask: again and again, until they are answered
    installation  the five processes, and what can be done to them
    hazards       kills, and clocks that jump, spread over the run
    followers     whoever reads the feeds to their ends
    databases     PostgreSQL for it
    dump          what the databases hold
    run           one run, from the first process to the last line of its history

Beside it stand the deaths at named points (`services/chassis/failpoints.py`), of which each is
looked at by itself:

    zygote        forks processes that have everything imported
    fleet         the processes, which of them is to die where, and calls that are insisted on
    crashes       the installation, and how a process is led past a point
    crash_stories who asks for what meanwhile, and what has to be true in the end

`python -m tests.chaos --help` runs a plan of any size. Processes that die at named points (P3) are
another matter: `crashes` begins there.
"""
