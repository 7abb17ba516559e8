"""How forms are rendered: one template for every field, `templates/forms/field.html`."""

from __future__ import annotations

from django.forms.renderers import TemplatesSetting


class FormRenderer(TemplatesSetting):
    """Looks for templates where pages do (FORM_RENDERER in the settings)."""

    field_template_name = "forms/field.html"
