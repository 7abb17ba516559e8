"""HTTP messages and host names as values (PURE).

Here belongs what a request or a response is, independent of the hop. Reading one from a connection
is `wire`'s; deciding about one is the business of the rooms above.
"""
