"""Plumbing that every service uses and that knows no business word.

Read in this order: `errors`, `database` (how a command runs), `server` (how a call reaches it),
`feed` and `follow` (how what happened reaches others).
"""
