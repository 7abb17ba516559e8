"""From what was seen to a verdict with cause and fix (PURE).

Start at `ranking`: it names every rule and the order in which they compete. Rules are rows and
functions over frozen values. Nothing here makes a probe or asks AWS.
"""
