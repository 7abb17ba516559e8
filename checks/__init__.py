"""Does an endpoint answer a WebSocket handshake, is it private, is a target ready, and if not, why?

The middle layer: it reads what provisioning knows, and knows nothing of portal. `protocol`,
`preflight`, `diagnosis` and `output` are pure; `probe` opens sockets, `privacy` calls AWS; the
modules beside them hold rows and tasks.
"""
