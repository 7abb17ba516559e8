"""The whole product on one machine: embedded PostgreSQL and Redis, the lab, web, workers and
ticker, and a rehearsal.

The product imports nothing from here. It starts the same commands as a server would, with the same
environment variables, so what works here works there.
"""
