"""Many runs, two workers and a third party at once, over an AWS account and rows in memory.

The engine, the sagas, their steps, the planner and `provisioning.aws` are the product's own. Only
what would be I/O is replaced: boto3's clients (`cloud`), the rows behind `Rows` and `HeldRun`
(`memory`), and the clock. `world` plays a schedule and checks what must always hold.
"""
