"""Every fault the lab knows, as data: name, parameters, symptom, verdict (PURE).

Nothing here acts. What a fault changes is in `lab.faults.plans`.
"""
