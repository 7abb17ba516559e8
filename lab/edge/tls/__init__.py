"""TLS with viewers and with origins: certificates, protocol versions, ALPN.

Here belongs everything that builds an `ssl.SSLContext` or explains why a handshake failed. HTTP
never does.
"""
