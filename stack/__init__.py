"""The whole product on one machine: embedded PostgreSQL and Redis, the lab, web, workers and ticker,
and a rehearsal.

Nothing here is imported by the product. It starts the same commands that a server would start, with
the same environment variables, so what works here works there.
"""
