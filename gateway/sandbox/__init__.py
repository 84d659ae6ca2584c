"""Simulated platforms: a Lightspeed X-Series POS and an Ecwid store, over real HTTP.

Both speak the wire formats that the platforms publish, so that Tillbridge can be tried, tested and
broken on purpose without an account anywhere. They are simulators: state lives in memory (and, on
demand, in one JSON file each), and nothing in Tillbridge proper imports this package.

Words:
    simulator: one simulated platform, an ASGI application with its own state.
    ledger: what a simulator was told over its API, newest last.
    delivery: one webhook on its way to a receiver, with every attempt.
    chaos: the knob that makes webhooks and API calls misbehave, repeatably.
    shop: the sample retailer both simulators know.
"""
