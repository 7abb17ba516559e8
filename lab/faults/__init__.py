"""Faults: named ways in which the lab misbehaves, each with the verdict that it must cause.

`catalogue` says which faults there are; `targeting` finds what one must hit, `plans` choose its
steps, `steps` change the account and change it back; `manager` keeps what is set; `call_faults`
lets calls to AWS fail; `api` is `/_lab/faults`. A fault leaves nothing behind when it is cleared,
and none needs a restart of the lab. The edge simulates its own faults (`lab.edge`).
"""
