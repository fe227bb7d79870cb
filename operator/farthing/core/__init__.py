"""The decision: what should run, where, and why.

Everything here is a pure function over frozen values: no clock, no I/O, no logging, no randomness. The one entry
point is `planner.step(observation, policy, state)`; the live operator, the command line and any simulation call it
with the same values and get the same plan.
"""
