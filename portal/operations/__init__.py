"""What operators and their tools ask of the portal: is it alive, is it ready, and its metrics.

Nothing here decides about requests, runs or checks; it counts and reads them.
"""
