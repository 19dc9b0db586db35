"""Bills as a stranger would read them: by split alone."""

import io
import zipfile
from collections import defaultdict
from decimal import Decimal

ROW = {
    "wechat": {
        "number": "商户订单号", "gateway_no": "微信订单号", "refund_no": "商户退款单号",
        "at": "交易时间", "fee": "手续费",
    },
    "alipay": {
        "number": "商户订单号", "gateway_no": "支付宝交易号", "refund_no": "退款批次号/请求号",
        "at": "完成时间", "fee": "服务费（元）",
    },
}  # fmt: skip


def file_of(stand_in, channel, day, kind="trade"):
    answer = stand_in.get(f"/bill?channel={channel}&day={day}&kind={kind}")
    if answer.status != 200 or channel == "wechat":
        return answer.body if answer.status == 200 else b""
    with zipfile.ZipFile(io.BytesIO(answer.body), metadata_encoding="gbk") as archive:
        return archive.read(archive.namelist()[0])


class Bill:
    """Rows by column names; ``odd`` are lines with another number of cells."""

    def __init__(self, stand_in, channel, day, kind="trade"):
        self.channel, self.day = channel, str(day)
        content = file_of(stand_in, channel, day, kind)
        lines = content.decode("utf-8-sig" if channel == "wechat" else "gbk").splitlines()
        self.rows, self.odd, self.ending = [], [], []
        if not lines:
            return
        if channel == "wechat":
            header, body, self.ending = lines[0].split(","), lines[1:-2], lines[-2:]
            split = [line.removeprefix("`").split(",`") for line in body]
        else:
            place = next(i for i, line in enumerate(lines) if not line.startswith("#"))
            header = lines[place].split(",")
            body = [line for line in lines[place + 1 :] if not line.startswith("#")]
            self.ending = lines[place + 1 + len(body) + 1 :]
            split = [[cell.strip() for cell in line.split(",")] for line in body]
        for cells in split:
            if len(cells) == len(header):
                self.rows.append(dict(zip(header, cells, strict=True)))
            else:
                self.odd.append(cells)

    def amounts(self, row):
        """Ordered and settled, positive for payments and refunds alike."""
        if self.channel == "alipay":
            return tuple(abs(Decimal(row[name])) for name in ("订单金额（元）", "商家实收（元）"))
        names = ("订单金额", "应结订单金额")
        if row["交易状态"] == "REFUND":
            names = ("申请退款金额", "退款金额")
        return tuple(Decimal(row[name]) for name in names)

    def told(self):
        """What each payment or refund is told to be, by our numbers."""
        told, names = defaultdict(list), ROW[self.channel]
        for row in self.rows:
            refund_no = row[names["refund_no"]].replace(
                "0", "", int(row[names["refund_no"]] == "0")
            )
            assert row[names["at"]].startswith(self.day)
            ordered, settled = self.amounts(row)
            fee = abs(Decimal(row[names["fee"]]))
            told[row[names["number"]], refund_no].append((self.day, ordered, settled, fee))
        return told

    def adds_up(self):
        """Whether what the file says of itself is what its rows come to."""
        if self.channel == "wechat":
            names = {"应结订单总金额": "应结订单金额", "退款总金额": "退款金额",
                     "手续费总金额": "手续费", "订单总金额": "订单金额",
                     "申请退款总金额": "申请退款金额"}  # fmt: skip
            ending = [line.removeprefix("`") for line in self.ending]
            said = dict(zip(ending[0].split(","), ending[1].split(",`"), strict=True))
            sums = {name: sum(Decimal(row[of]) for row in self.rows) for name, of in names.items()}
            is_counted = said["总交易单数"] == f"{len(self.rows)}.0"
            return is_counted and all(Decimal(said[name]) == sums[name] for name in sums)
        expected = []
        for kind, what in (("交易", "商家实收"), ("退款", "商家实收退款")):
            rows = [row for row in self.rows if row["业务类型"] == kind]
            total = sum((Decimal(row["商家实收（元）"]) for row in rows), Decimal("0.00"))
            expected.append(f"#{kind}合计：{len(rows)}笔，{what}共{total}元")
        return all(self.ending[i].startswith(line) for i, line in enumerate(expected))


class FundBill(Bill):
    def __init__(self, stand_in, channel, day):
        super().__init__(stand_in, channel, day, "fund")

    def change(self, row):
        if self.channel == "alipay":
            return Decimal(row["收入金额（+元）"]) + Decimal(row["支出金额（-元）"])
        return Decimal(row["收支金额(元)"]) * (1 if row["收支类型"] == "收入" else -1)

    def balance(self, row):
        return Decimal(row["账户结余(元)" if self.channel == "wechat" else "账户余额（元）"])

    def gaps(self, opening):
        """The rows at which the balance does not go on, and the last balance."""
        broken = []
        for row in self.rows:
            if self.balance(row) != opening + self.change(row):
                broken.append((opening + self.change(row), self.balance(row)))
            opening = self.balance(row)
        return broken, opening

    def told(self):
        told = defaultdict(list)
        number, kind = ("业务凭证号", "业务类型")
        if self.channel == "alipay":
            number = "商户订单号"
        for row in self.rows:
            told[row[number], row[kind]].append((self.day, self.change(row)))
        return told

    def adds_up(self):
        changes = [self.change(row) for row in self.rows]
        income, outgo = [c for c in changes if c > 0], [c for c in changes if c < 0]
        sums = [sum(part, Decimal("0.00")) for part in (income, outgo)]
        if self.channel == "wechat":
            parts = (len(changes), len(income), sums[0], len(outgo), -sums[1])
            shown = [f"{p}.0" if isinstance(p, int) else str(p) for p in parts]
            return self.ending[-1] == ",".join(f"`{text}" for text in shown)
        return self.ending[:2] == [
            f"#支出合计：{len(outgo)}笔，共{sums[1]}元",
            f"#收入合计：{len(income)}笔，共{sums[0]}元",
        ]
