// openapi-generator's Java (native): create, pay, poll, refund, list, errors.

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.UUID;
import tcmpay.ApiClient;
import tcmpay.ApiException;
import tcmpay.api.OrdersApi;
import tcmpay.api.PaymentsApi;
import tcmpay.api.RefundsApi;
import tcmpay.model.*;

public final class Story {
    private static final String BASE = System.getenv("TCMPAY_BASE");
    private static final String TOKEN = System.getenv("TCMPAY_TOKEN");
    private static final UUID USER = UUID.fromString(System.getenv("TCMPAY_USER"));
    private static final String GATEWAYS = System.getenv("TCMPAY_GATEWAYS");

    private static void expect(boolean condition, String what) {
        if (!condition) throw new AssertionError("not as expected: " + what);
    }

    private interface Call {
        void run() throws ApiException;
    }

    private static String refused(int status, Call call) {
        try {
            call.run();
        } catch (ApiException error) {
            expect(error.getCode() == status, status + ", not " + error.getCode());
            return error.getResponseBody();
        }
        throw new AssertionError("not refused");
    }

    private static ApiClient client(String token) {
        // What apps hand to the gateways is one of several kinds: strict reading tells them apart.
        ObjectMapper mapper = ApiClient.createDefaultObjectMapper();
        mapper.enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
        ApiClient client = new ApiClient(HttpClient.newBuilder(), mapper, BASE);
        client.setRequestInterceptor(one -> one.header("Authorization", "Bearer " + token));
        return client;
    }

    private static OrderCreateRequest wanted(String amount) {
        return new OrderCreateRequest()
            .userId(USER)
            .orderType(ServiceOrderType.CONSULTATION)
            .amount(new BigDecimal(amount));
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient client = client(TOKEN);
        OrdersApi orders = new OrdersApi(client);
        PaymentsApi payments = new PaymentsApi(client);
        RefundsApi refunds = new RefundsApi(client);

        Order order = orders.createOrder(wanted("30.00"), UUID.randomUUID().toString()).getData();
        expect(order.getStatus() == OrderStatus.PENDING, "a pending order");
        expect(order.getAmount().equals(new BigDecimal("30.00")), "of 30.00");
        expect(order.getPaymentMethod() == null, "not paid by anything yet");

        PayRequest pay = new PayRequest().orderId(order.getId()).paymentMethod(PaymentMethod.WECHAT);
        expect(payments.payOrder(pay, null).getData().getQrCode() != null, "a code to show");
        String body = "{\"channel\": \"wechat\", \"out_trade_no\": \"" + order.getOrderNo() + "\"}";
        HttpRequest atTheGateway = HttpRequest.newBuilder(URI.create(GATEWAYS + "/_control/pay"))
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        HttpClient.newHttpClient().send(atTheGateway, HttpResponse.BodyHandlers.discarding());
        for (int tries = 0; tries < 120 && order.getStatus() == OrderStatus.PENDING; tries++) {
            Thread.sleep(500);
            order = orders.getOrder(order.getId(), null).getData();
        }
        expect(order.getStatus() == OrderStatus.PAID, "paid");
        expect(order.getPaymentMethod() == PaymentMethod.WECHAT, "by WeChat");

        RefundCreateRequest back = new RefundCreateRequest()
            .orderId(order.getId())
            .refundAmount(new BigDecimal("5.00"))
            .refundReason("trial");
        expect(
            refunds.requestRefund(back, null).getData().getStatus() == RefundStatus.PENDING,
            "a refund that waits for review");
        OrderPage page = orders.listOrders(
            null, null, null, order.getId().toString(), null, null, null, null, null, null, null,
            null, null).getData();
        expect(page.getOrders().size() == 1, "the order by its id");

        Order inApp = orders.createOrder(wanted("1.00"), null).getData();
        PayRequest jsapi = new PayRequest()
            .orderId(inApp.getId())
            .paymentMethod(PaymentMethod.WECHAT)
            .scene(PaymentScene.JSAPI)
            .openid("oUpF8uMuAJO");
        PrepayData prepay = payments.payOrder(jsapi, null).getData().getPrepayData();
        expect(prepay.getWechatJsapiPrepay().getPaySign() != null, "what WeChat's page needs");

        PayRequest again = new PayRequest()
            .orderId(order.getId())
            .paymentMethod(PaymentMethod.BALANCE);
        expect(
            refused(400, () -> payments.payOrder(again, null)).contains("ORDER_NOT_PAYABLE"),
            "no second payment");
        expect(
            refused(400, () -> orders.createOrder(wanted("0.001"), null)).contains("\"amount\""),
            "an amount that is refused");
        expect(
            refused(404, () -> orders.getOrder(new UUID(0, 0), null)).contains("NOT_FOUND"),
            "no such order");
        OrdersApi strangers = new OrdersApi(client("none"));
        expect(
            refused(401, () -> strangers.getOrder(USER, null)).contains("malformed"),
            "a token is needed");
        System.out.println(
            "openapi-generator java: created, paid, polled, refunded, listed, refused");
    }
}
