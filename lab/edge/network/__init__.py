"""Where packets go in the account's network, and what drops them (PURE).

Here belong security groups, network ACLs, Block Public Access, and the path from an origin's name
to a listener or an address. Nothing here opens a socket or reads HTTP.
"""
