"""The live host: watches the cluster, asks the planner, and makes the cluster agree with the plan.

connection, reflector, store, handlers, cluster   what is seen
translate, interruptions, measuring               what it means to the planner
desired, children, actuate, throttle              what is changed
conditions, status, budget_status, publish        what is said
lease, health, instruments, journal, tick, main   the process
"""
