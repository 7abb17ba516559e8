"""Steps that sagas share: observe, act on what is missing, observe again; forward and backward."""
