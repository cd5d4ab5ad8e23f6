import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.grpc.CallOptions;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/**
 * A proxyless gRPC client in Java: each line on standard input is a call, each line on standard output its end.
 * The lines are those of tests/clients/client.py.
 */
public final class Client {
  private static final Gson GSON = new Gson();

  private static final MethodDescriptor.Marshaller<byte[]> AS_IS =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  public static void main(String[] args) throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create()).build();
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      call(channel, GSON.fromJson(line, JsonObject.class));
    }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }

  private static void call(ManagedChannel channel, JsonObject asked) {
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.<byte[], byte[]>newBuilder(AS_IS, AS_IS)
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(asked.get("method").getAsString().substring(1))
            .build();
    Metadata metadata = new Metadata();
    for (JsonElement each : asked.getAsJsonArray("metadata")) {
      JsonArray pair = each.getAsJsonArray();
      String name = pair.get(0).getAsString();
      metadata.put(
          Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), pair.get(1).getAsString());
    }
    long timeout = (long) (asked.get("timeout").getAsDouble() * 1000);
    ClientCalls.asyncUnaryCall(
        ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata))
            .newCall(method, CallOptions.DEFAULT.withDeadlineAfter(timeout, TimeUnit.MILLISECONDS)),
        new byte[0],
        new StreamObserver<byte[]>() {
          private String body = "";

          @Override
          public void onNext(byte[] response) {
            body = new String(response, StandardCharsets.UTF_8);
          }

          @Override
          public void onError(Throwable error) {
            end(asked, Status.fromThrowable(error), "");
          }

          @Override
          public void onCompleted() {
            end(asked, Status.OK, body);
          }
        });
  }

  private static synchronized void end(JsonObject asked, Status status, String body) {
    JsonObject ended = new JsonObject();
    ended.add("id", asked.get("id"));
    ended.addProperty("code", status.getCode().value());
    ended.addProperty("message", status.getDescription() == null ? "" : status.getDescription());
    ended.addProperty("body", body);
    System.out.println(GSON.toJson(ended));
    System.out.flush();
  }
}
