"""The lab's data plane and its chat app."""
