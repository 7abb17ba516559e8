from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checks', '0003_saved_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='check',
            name='connect_ms',
            field=models.FloatField(null=True),
        ),
    ]
