"""The REST API. One file per resource: its tables of fields, then the views, each of which parses,
calls one action or reads one set, and shows the result.

- requests, request_output, create_request; endpoints; checks, probes, saved_checks: the resources.
- endpoint_settings: a request's settings and a spec, from provisioning's field table.
- operation: `@operation`, what a handler takes, answers and needs. lists: filters and pages.
- base: the view that all derive from. auth: tokens, scopes, throttle. docs: the OpenAPI document;
  for people, portal.api_reference. urls.

A new filter is a row of FILTERS; a new field is a row of the object's table (portal.json_fields);
a new verb of a request is a row of portal.requests.verbs.
"""
