"""What it costs: `python -m tests.bench`, behind `make bench`.

Every figure is compared with another one of the same run on the same machine, measured in turns,
since the machine may be busy with other things:

- `empty`: an RPC that does nothing, served beside the real ones; `server`: the process that serves;
- `load`: the process that calls; `stock`: what is called; `plain`: the SQL to compare with;
- `latency`: from a till's webhook to the store, through the whole stack.
"""
