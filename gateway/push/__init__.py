"""The outward half: follows the services' feeds and writes to the platforms.

One worker per channel holds the channel's lease, so that there is one writer. What it writes is
always read just before: a chore says which thing is out of date, never what it should become. So
doing a chore twice, late, or once for several events is all the same, and a crash loses nothing:
the feeds are read again from where they were acknowledged, and the sweep on start finds the rest.

Words:
    chore: a thing that has to be made right on a platform, named by its id.
    sweep: comparing everything with the platform, and making chores of the differences.
"""

from gateway.push.workers import Workers

__all__ = ["Workers"]
