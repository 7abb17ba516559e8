"""What exists in AWS, as Terraform, CloudFormation or CDK, complete enough to leave with.

`content` is what is exported, as frozen values; `terraform`, `cloudformation`, `cdk` and `guide`
turn it into texts, and `bundle` puts them together: all of them PURE. `reading` alone asks AWS.
Values of custom headers never get into `content`. Nothing here changes AWS, or decides who may
export what.
"""
