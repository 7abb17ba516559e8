"""The lab's data plane, on loopback: CloudFront's edge, VPC origins and load balancers.

It handles a viewer's request as AWS's data plane would, and moves the bytes. It learns about the
account only from the lab's AWS process, over HTTP, and never speaks to the portal.

Rooms, from the bottom up; each imports only those above it in this list:

- `http`: messages and host names as values
- `account`: what `/_lab/state` says, parsed
- `network`, `tls`, `wire`: packets, certificates, connections
- `cdn`, `balancers`, `logs`: CloudFront's rules, Elastic Load Balancing, the access log
- `origins`: fetching from whatever a behavior points to
- `viewers`, `control_plane`: the side facing viewers, the side facing the AWS process
- `server`: starts it all
"""
