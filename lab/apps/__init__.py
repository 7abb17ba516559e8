"""The apps behind the lab's load balancers: a chat app, and apps that misbehave."""
