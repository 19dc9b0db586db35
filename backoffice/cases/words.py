"""What is said of a case: how far it is, what happened, and what staff should do about it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backoffice.site.display import NEUTRAL, RUNNING, WAITING
from payments.models import PaymentException
from payments.states import ExceptionKind

# What happened, in plain words.
EXCEPTION_STORY: Mapping[str, Any] = {
    ExceptionKind.WRONG_AMOUNT: _(
        "网关通知说用户付了款，但金额与应付的不一致。这笔钱没有入账，订单状态没有变。"
    ),
    ExceptionKind.MISMATCH: _(
        "网关通知说用户付了款，但它的交易号与我们记录的不一致。这笔钱没有入账。"
    ),
    ExceptionKind.UNKNOWN_ORDER: _(
        "网关通知说用户付了款，但我们没有这个商户订单号。这笔钱在商户账户里，没有入账到任何订单。"
    ),
    ExceptionKind.LATE_PAYMENT: _(
        "订单已取消或过期之后，用户的付款才到账。钱已收到，没有用于订单，应退还用户。"
    ),
    ExceptionKind.SECOND_PAYMENT: _("同一订单付了两次。第一笔已入账，这一笔是多付的，应退还用户。"),
    ExceptionKind.REFUND_ABNORMAL: _(
        "网关接受了退款，但钱退不到用户的账户（例如银行卡已注销）。钱还在商户账户里。"
    ),
    ExceptionKind.REFUND_REFUSED: _(
        "这笔退款没有退出：被网关拒绝，或由同事停止发送（见下面的说法）。钱还在商户账户里，用户还没有收到退款。"
    ),
    ExceptionKind.OUTSIDE_REFUND: _(
        "有人在商户平台上直接退了款。金额已计入该支付的退款，请核对是谁、为什么退的。"
    ),
    ExceptionKind.UNBOOKED_REFUND: _(
        "网关说退了一笔款，但它无法记入：与我们的记录对不上，或多次查询仍没有结果。没有改动任何退款和订单；这笔钱可能已经退出。"
    ),
    ExceptionKind.STUCK_PAYMENT: _(
        "付款时间早已结束，网关仍没有给出明确结果。系统会继续查询；钱可能已付，也可能没有。"
    ),
    ExceptionKind.STUCK_REFUND: _(
        "退款已提交，但迟迟没有明确结果。系统会用同一单号继续查询，请勿另行退款。"
    ),
    ExceptionKind.STOPPED_REFUND: _(
        "退款已停止发送，但一直问不到网关的答复，不知道之前有没有退出。款项继续为它留着；系统会继续询问，问到没有这笔退款就按失败结束。申请核销之后不再释放这笔款项，也不能重试。"
    ),
    ExceptionKind.REFUNDED_TWICE: _(
        "这笔退款的差错已核销（或正在申请核销），款项视为已另行退还；后来网关说它原路退成功了。用户可能收到了两次。"
    ),
    ExceptionKind.ACCOUNT_SHORT: _(
        "商户账户里的钱不够退款。退款没有退出，也没有失败：它们等待充值，用原单号自动再试，间隔从五分钟渐长到六小时，最多七天。"
    ),
    ExceptionKind.GATEWAY_SILENT: _(
        "网关持续拒绝我们的询问（查询、关闭、退款查询）。支付和退款都保持原状，没有任何一笔因此失败；系统会一直询问，恢复后自动补上结果。"
    ),
    ExceptionKind.GATEWAY_REFUSING: _(
        "网关因为我们的密钥、权限或商户状态，持续拒绝退款请求。等待的退款保持“退款中”，款项仍为它们留着；系统每五分钟之内再试一次，恢复后自动完成。"
    ),
    ExceptionKind.GIVE_BACK_LEFT: _(
        "用户要退回余额，其中这一部分没有可以原路退回的充值（超过一年、已退过，或不是充值来的）。钱还在用户的余额里，没有冻结。"
    ),
    ExceptionKind.ENDPOINT_DISABLED: _(
        "平台的接收地址回答 410，或连续五天没有收下事件，已停止推送。事件都保留着，资金不受影响。"
    ),
    ExceptionKind.BILL_OURS_ONLY: _(
        "我们记为成功的一笔，网关当日和次日的账单里都没有。钱可能没有到商户账户。"
    ),
    ExceptionKind.BILL_THEIRS_ONLY: _(
        "网关账单里有一笔，单号是我们的样式，但我们没有记录。钱可能已到商户账户而没有入账，或已退出而没有记为退款。"
    ),
    ExceptionKind.BILL_AMOUNT: _("同一笔的金额，账单与我们的记录不一致。两边的记录都没有改动。"),
    ExceptionKind.BILL_FEE: _(
        "账单里的手续费与费率算出的（或资金账单扣的）不一致。与付款人的钱无关。"
    ),
    ExceptionKind.BILL_STATE: _(
        "账单说这笔已经成功，我们仍记为未付、失败或处理中。钱可能已到账或已退出，还没有入账。"
    ),
    ExceptionKind.BILL_DUPLICATE: _("同一笔在账单里出现了不止一次。网关可能多收或多退了一次。"),
    ExceptionKind.BILL_WRONG_DAY: _(
        "两边都有这笔，金额相符，但网关把它记在相邻的另一天。通常是午夜前后的时间差。"
    ),
    ExceptionKind.BILL_FOREIGN: _(
        "账单里有一笔不是我方的交易：属于同一商户号的另一个应用，或不认识的单号。没有记入任何订单。"
    ),
    ExceptionKind.BILL_FUND_GAP: _(
        "资金账单的余额前后接不上：可能缺了一行，或账单被改动过。请下载原文件与商户平台核对。"
    ),
    ExceptionKind.BILL_FUND_MISSING: _(
        "交易账单里有这笔，资金账单里没有相应的进账或出账，且已超过三天。"
    ),
    ExceptionKind.BILL_LINE: _("账单里有一行无法读取，没有参加对账。当天在处理之前不能日结。"),
    ExceptionKind.BILL_MISSING: _(
        "到了下午三点，网关仍没有给出前一天的账单。系统每半小时再试一次，取到后自动对账并了结。"
    ),
}

# What staff should do about each.
EXCEPTION_ADVICE: Mapping[str, Any] = {
    ExceptionKind.WRONG_AMOUNT: _(
        "在商户平台核对该笔交易；如确已收款，请在商户平台原路退回，再申请核销"
    ),
    ExceptionKind.MISMATCH: _("核对两个网关交易号；多收的一笔请在商户平台原路退回，再申请核销"),
    ExceptionKind.UNKNOWN_ORDER: _(
        "能确定属于哪个待支付订单时可匹配；若是其他系统的收款，请在商户平台原路退回，再申请核销"
    ),
    ExceptionKind.LATE_PAYMENT: _("款项会自动原路退回；若策略为人工处理，请点击“原路退回”"),
    ExceptionKind.SECOND_PAYMENT: _("款项会自动原路退回；若策略为人工处理，请点击“原路退回”"),
    ExceptionKind.REFUND_ABNORMAL: _(
        "在商户平台处理异常退款（如更换收款账户），系统会自动更新结果；要用别的办法退还的，先申请核销，此后这笔退款不会再发送，款项继续为它留着；退回充值的，确认核销时从冻结的余额扣除"
    ),
    ExceptionKind.REFUND_REFUSED: _(
        "查看没有退出的原因，处理后点击“用原单号重试”；已用别的办法退还的，申请核销，此后不能再重试；退回充值的，确认核销时从余额扣除"
    ),
    ExceptionKind.OUTSIDE_REFUND: _("核对商户平台的退款操作；金额已计入该支付的退款"),
    ExceptionKind.UNBOOKED_REFUND: _(
        "在商户平台核对这笔退款；核对清楚之前，请勿再为该支付退款，核对后申请核销"
    ),
    ExceptionKind.STUCK_PAYMENT: _("点击“立即查询网关”；仍无结果时检查支付配置和网络"),
    ExceptionKind.STUCK_REFUND: _("点击“用原单号重试”再问一次；仍无结果时请在商户平台核对"),
    ExceptionKind.STOPPED_REFUND: _(
        "恢复密钥或权限，系统会自动问到结果；账号已停用、再也问不到的，请向网关客服核实有没有退出，没有退出的先申请核销（此后这笔退款不会再退），再用余额调整还给用户，由另一人核对后确认核销"
    ),
    ExceptionKind.REFUNDED_TWICE: _(
        "查看核销时写的处理：另行退还过的，向用户收回或从余额扣回；只退了一次的，写明核对结果。然后申请核销"
    ),
    ExceptionKind.ACCOUNT_SHORT: _(
        "给商户账户充值，然后点“让等待的退款马上再试”：几分钟内全部用原单号再试；都退出后差错自动了结。请勿另行退款"
    ),
    ExceptionKind.GATEWAY_SILENT: _(
        "按说明检查密钥、证书序列号、权限、服务器时间和商户状态；恢复回答后差错自动了结，请勿另行退款"
    ),
    ExceptionKind.GATEWAY_REFUSING: _(
        "按说明检查密钥、权限和商户状态；不再被拒后差错自动了结，请勿另行退款"
    ),
    ExceptionKind.GIVE_BACK_LEFT: _(
        "核实用户身份和收款账户。在余额账户里申请扣减余额（由另一人复核），再线下转账，然后申请核销并写明转账凭证；不该退的，写明原因后申请核销。"
    ),
    ExceptionKind.ENDPOINT_DISABLED: _(
        "请平台修好接收方，再启用这个推送地址：没有收到的事件会补送，差错自动了结"
    ),
    ExceptionKind.BILL_OURS_ONLY: _(
        "先“立即查询网关”。网关确认成功的，次日账单通常会补上，差异自动消失；网关说没有的，请与网关客服核实，再申请核销并写明结果。"
    ),
    ExceptionKind.BILL_THEIRS_ONLY: _(
        "先“立即查询网关”，网关证明已付且金额相符会自动入账；是付款而我们没有单号的，可匹配到订单。其余与网关核实后申请核销。不要先退款：可能已经入账。"
    ),
    ExceptionKind.BILL_AMOUNT: _(
        "先“立即查询网关”，以网关的答复为准。确有差额的，与网关核实后申请核销，写明差额由谁承担。"
    ),
    ExceptionKind.BILL_FEE: _(
        "与合同费率核对。以账单为准的，按账单记录；有异议的，与网关核实后申请核销。"
    ),
    ExceptionKind.BILL_STATE: _(
        "先“立即查询网关”：网关证明已付且金额相符会自动入账，或补上退款结果，差异随之消失。"
    ),
    ExceptionKind.BILL_DUPLICATE: _(
        "在商户平台查这个单号有几笔资金进出。确实多收的，请网关或在商户平台处理后申请核销，写明结果。"
    ),
    ExceptionKind.BILL_WRONG_DAY: _("核对两天的账单各有一边。确认后按账单记录。"),
    ExceptionKind.BILL_FOREIGN: _(
        "确认是否另一个应用的交易；是我方用户付的，匹配到他的待支付订单。其余申请核销。"
    ),
    ExceptionKind.BILL_FUND_GAP: _(
        "在商户平台重新下载当天的资金账单并导入替换；接上后差异自动消失。仍接不上的，与网关核实后申请核销。"
    ),
    ExceptionKind.BILL_FUND_MISSING: _(
        "在商户平台查这笔的资金流水。到账后重新导入资金账单，差异自动消失；否则与网关核实后申请核销。"
    ),
    ExceptionKind.BILL_LINE: _(
        "下载原文件看这一行，在商户平台重新下载账单并导入替换。确实无法修复的，人工核对后申请核销。"
    ),
    ExceptionKind.BILL_MISSING: _(
        "查看网关公告，或在商户平台手工下载账单后导入。已说明原因的可以关闭。"
    ),
}


BILL_KINDS = [kind for kind in ExceptionKind.values if kind.startswith("bill_")]


def is_of_bills() -> Q:
    """The cases that comparing with bills told; the others came from payments and refunds."""
    return Q(kind__in=BILL_KINDS)


def case_state(case: PaymentException) -> tuple[str, str]:
    """How far a case is, in words, and the tone to say it in."""
    if case.closed_at is not None:
        return str(case.get_outcome_display()), NEUTRAL
    if case.is_waiting:
        return gettext("核销待确认"), RUNNING
    return gettext("待处理"), WAITING
