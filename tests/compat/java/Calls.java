import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.AwsResponse;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.protocols.jsoncore.JsonWriter;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.sts.StsClient;
import software.amazon.awssdk.services.sts.auth.StsAssumeRoleCredentialsProvider;
import software.amazon.awssdk.services.sts.auth.StsWebIdentityTokenFileCredentialsProvider;
import software.amazon.awssdk.services.sts.model.Credentials;
import software.amazon.awssdk.services.sts.model.StsRequest;
import software.amazon.awssdk.utils.builder.Buildable;

/**
 * Every operation and every credential provider once, against the service that the scenario names. A line of JSON for
 * each: what was called, and "ok" with what came back, or the error as the SDK throws it.
 */
public final class Calls {
    private final JsonNode scenario;
    private final AwsCredentialsProvider caller;

    private Calls(JsonNode scenario) {
        this.scenario = scenario;
        this.caller = StaticCredentialsProvider.create(
                AwsBasicCredentials.create(text("caller", "AccessKeyId"), text("caller", "SecretAccessKey")));
    }

    public static void main(String[] arguments) throws Exception {
        new Calls(JsonNode.parser().parse(Files.readString(Path.of(arguments[0])))).all();
    }

    private void all() throws Exception {
        for (Map.Entry<String, JsonNode> each : scenario.asObject().get("calls").asObject().entrySet()) {
            report(each.getKey(), () -> call(each.getKey(), each.getValue()));
        }
        AwsCredentialsProvider first = assume(caller, text("providers", "role"));
        report("credentials of a role", () -> identity(first));
        AwsCredentialsProvider second = assume(first, text("providers", "chained"));
        report("credentials of a chained role", () -> identity(second));
        report("credentials of a web identity token file", () -> identity(
                StsWebIdentityTokenFileCredentialsProvider.builder()
                        .stsClient(client(AnonymousCredentialsProvider.create(), "url", 1))
                        .roleArn(text("providers", "web_role"))
                        .roleSessionName("web")
                        .webIdentityTokenFile(Path.of(text("providers", "token_file")))
                        .build()));
        report("credentials of a process",
                () -> identity(ProfileCredentialsProvider.create(text("providers", "profile"))));
        report("retry after Throttling", this::crowd);
    }

    private StsClient client(
            AwsCredentialsProvider provider, String url, int attempts, ExecutionInterceptor... watching) {
        return StsClient.builder()
                .region(Region.of(text("region")))
                .endpointOverride(URI.create(text(url)))
                .credentialsProvider(provider)
                .overrideConfiguration(more -> more
                        .executionInterceptors(List.of(watching))
                        .retryStrategy(DefaultRetryStrategy.standardStrategyBuilder().maxAttempts(attempts).build()))
                .build();
    }

    private String identity(AwsCredentialsProvider provider) {
        try (StsClient client = client(provider, "url", 1)) {
            return client.getCallerIdentity().arn();
        }
    }

    private AwsCredentialsProvider assume(AwsCredentialsProvider source, String role) {
        return StsAssumeRoleCredentialsProvider.builder()
                .stsClient(client(source, "url", 1))
                .refreshRequest(request -> request.roleArn(role).roleSessionName("java"))
                .build();
    }

    /** Finds the method by the operation's name, so that an operation the scenario gains is called here as well. */
    private String call(String operation, JsonNode input) throws Exception {
        try (StsClient client = client(caller, "url", 1)) {
            for (Method method : StsClient.class.getMethods()) {
                if (method.getName().equalsIgnoreCase(operation) && method.getParameterCount() == 1
                        && StsRequest.class.isAssignableFrom(method.getParameterTypes()[0])) {
                    Object builder = method.getParameterTypes()[0].getMethod("builder").invoke(null);
                    return named((AwsResponse) invoked(method, client, filled((SdkPojo) builder, input)));
                }
            }
        }
        throw new NoSuchMethodException(operation);
    }

    private static Object invoked(Method method, Object target, Object argument) throws Exception {
        try {
            return method.invoke(target, argument);
        } catch (InvocationTargetException error) {
            throw (Exception) error.getCause();
        }
    }

    /** The request or part of one that a builder makes of the members in JSON. */
    private static Object filled(SdkPojo builder, JsonNode members) {
        for (Map.Entry<String, JsonNode> member : members.asObject().entrySet()) {
            SdkField<?> field = builder.sdkFieldNameToField().get(member.getKey());
            if (field == null) {
                throw new IllegalArgumentException("no parameter " + member.getKey());
            }
            field.set(builder, value(field, member.getValue()));
        }
        return ((Buildable) builder).build();
    }

    private static Object value(SdkField<?> field, JsonNode node) {
        if (node.isObject()) {
            return filled(field.constructor().get(), node);
        }
        if (node.isArray()) {
            SdkField<?> element = field.getRequiredTrait(ListTrait.class).memberFieldInfo();
            List<Object> values = new ArrayList<>();
            node.asArray().forEach(each -> values.add(value(element, each)));
            return values;
        }
        return node.isNumber() ? Integer.valueOf(node.asNumber()) : node.asString();
    }

    private String named(AwsResponse answer) {
        for (String name : List.of("Arn", "Account", "WebIdentityToken")) {
            if (answer.sdkFieldNameToField().containsKey(name)) {
                return answer.getValueForField(name, String.class).orElseThrow();
            }
        }
        Credentials made = answer.getValueForField("Credentials", Credentials.class).orElseThrow();
        return identity(StaticCredentialsProvider.create(
                AwsSessionCredentials.create(made.accessKeyId(), made.secretAccessKey(), made.sessionToken())));
    }

    /** Makes more calls at once than the quota lets through; the most attempts that one of them took. */
    private Integer crowd() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try {
            int most = 0;
            for (Future<Integer> each : threads.invokeAll(Collections.<Callable<Integer>>nCopies(3, this::attempts))) {
                most = Math.max(most, each.get());
            }
            return most;
        } finally {
            threads.shutdown();
        }
    }

    private Integer attempts() {
        AtomicInteger sent = new AtomicInteger();
        ExecutionInterceptor counting = new ExecutionInterceptor() {
            @Override
            public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
                sent.incrementAndGet();
            }
        };
        try (StsClient client = client(caller, "busy_url", 6, counting)) {
            client.getCallerIdentity();
        }
        return sent.get();
    }

    private String text(String... names) {
        JsonNode node = scenario;
        for (String name : names) {
            node = node.asObject().get(name);
        }
        return node.asString();
    }

    private static void report(String operation, Callable<Object> call) {
        JsonWriter line = JsonWriter.create().writeStartObject();
        line.writeFieldName("operation").writeValue(operation);
        try {
            Object result = call.call();
            line.writeFieldName("result");
            if (result instanceof Integer) {
                line.writeValue((Integer) result);
            } else {
                line.writeValue((String) result);
            }
            line.writeFieldName("outcome").writeValue("ok");
        } catch (AwsServiceException error) {
            line.writeFieldName("outcome").writeValue(error.awsErrorDetails().errorCode());
            line.writeFieldName("class").writeValue(error.getClass().getSimpleName());
            line.writeFieldName("message").writeValue(error.awsErrorDetails().errorMessage());
        } catch (Exception error) {
            line.writeFieldName("outcome").writeValue("failed");
            line.writeFieldName("message").writeValue(error.toString());
        }
        System.out.println(new String(line.writeEndObject().getBytes(), StandardCharsets.UTF_8));
    }
}
