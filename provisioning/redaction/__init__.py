"""What can carry a credential, and text without credentials (PURE).

`carriers` is the one list of places, names and shapes; `masking` replaces what they find;
`references` reads `${secret:NAME}`. Nothing here stores or decrypts: that is provisioning.secrets.
"""
