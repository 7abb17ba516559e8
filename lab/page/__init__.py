"""The lab's page for people, at /_lab/ on the AWS port: the accounts as a picture, faults and clock
with buttons.
"""
