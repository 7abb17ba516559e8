"""The origins that the lab's load balancers forward to: applications a team could have written."""
