"""What the order service decides: pure functions over values.

`document` is an order as the store has it, `order` how far it has got here, `sale` what it becomes,
and `progress` what its run does next.
"""
