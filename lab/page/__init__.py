"""The lab's page for people, at /_lab/ on the AWS port: accounts, active faults, clock."""
