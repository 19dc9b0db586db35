from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0020_attempt_starts'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='paymentexception',
            name='exception_kind_known',
        ),
        migrations.AlterField(
            model_name='paymentexception',
            name='kind',
            field=models.CharField(choices=[('wrong_amount', '金额不符'), ('mismatch', '交易信息不符'), ('unknown_order', '订单不存在'), ('late_payment', '订单结束后到账'), ('second_payment', '重复支付'), ('refund_abnormal', '退款异常'), ('refund_refused', '退款被网关拒绝'), ('outside_refund', '商户平台直接退款'), ('unbooked_refund', '退款通知未入账'), ('stuck_payment', '支付结果不明'), ('stuck_refund', '退款迟迟无结果'), ('gateway_silent', '网关不再回答询问')], max_length=32, verbose_name='类型'),
        ),
        migrations.AddConstraint(
            model_name='paymentexception',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['wrong_amount', 'mismatch', 'unknown_order', 'late_payment', 'second_payment', 'refund_abnormal', 'refund_refused', 'outside_refund', 'unbooked_refund', 'stuck_payment', 'stuck_refund', 'gateway_silent'])), name='exception_kind_known'),
        ),
    ]
