"""`make demo`: a real control plane, two services, real requests, and the bill at the end.

__main__  what happens in which order     install   cluster, operator, examples
scenario  the phases, as values           load      open-loop requests
watch     what the cluster says           view      what a person sees
bill      what it cost, checked           errors    what a person can mend
"""
