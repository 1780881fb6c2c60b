// SPDX-License-Identifier: Apache-2.0

import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.util.AttributeKey;
import io.netty.util.ReferenceCountUtil;
import java.io.ByteArrayInputStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.http.netty4.ssl.SecureNetty4HttpServerTransport;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SecureHttpTransportSettingsProvider;
import org.opensearch.plugins.SecureSettingsFactory;
import org.opensearch.plugins.SecureTransportSettingsProvider;
import org.opensearch.plugins.TransportExceptionHandler;
import org.opensearch.transport.Netty4Plugin;
import org.opensearch.transport.Transport;
import org.opensearch.transport.TransportAdapterProvider;
import org.opensearch.transport.netty4.ssl.SecureNetty4Transport;

/**
 * A node of a system's own, which `freehold up` runs: FILE, a file of properties with the `folder` for its data, its
 * `port`, its `certificate` and `key` (PEM), and for each of its users `user.NAME`, the password. It is reached by TLS
 * alone, and whoever is none of its users is answered 401, whatever is asked for. By the transport's port, where other
 * nodes would join, nobody is let in.
 */
public final class Private extends Node {
    private static final List<byte[]> logins = new ArrayList<>(); // of "Basic ...", as they are sent
    private static SSLContext identity;

    private Private(Settings settings) {
        super(settings, List.of(Netty4Plugin.class, org.opensearch.analysis.common.CommonAnalysisPlugin.class, Walls.class));
    }

    public static void main(String[] arguments) throws Exception {
        // Anybody may connect and speak otherwise, and each time they would tell of it at length.
        for (Class<?> one : List.of(SecureNetty4HttpServerTransport.class, SecureNetty4Transport.class)) {
            Configurator.setLevel(one.getName(), Level.OFF);
        }
        Properties told = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            told.load(file);
        }
        for (String name : told.stringPropertyNames()) {
            if (name.startsWith("user.")) {
                logins.add(login(name.substring("user.".length()), told.getProperty(name)));
            }
        }
        identity = identity(told.getProperty("certificate"), told.getProperty("key"));
        Node node = new Private(settings(told.getProperty("folder"), told.getProperty("port")));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static void end(Node node) {
        try {
            node.close();
        } catch (java.io.IOException exception) {
            System.err.println("The node was not closed: " + exception.getClass().getName());
        }
    }

    private static Settings settings(String folder, String port) {
        return Settings.builder()
            .put("path.home", folder).put("path.data", folder + "/node")
            .put("network.host", "127.0.0.1").put("http.port", port).put("transport.port", "0")
            .put("discovery.type", "single-node").put("node.processors", 2)
            .put("transport.type", Netty4Plugin.NETTY_SECURE_TRANSPORT_NAME)
            .put("http.type", Netty4Plugin.NETTY_SECURE_HTTP_TRANSPORT_NAME)
            // Indices are made by their service alone, and by their whole names they are removed.
            .put("action.auto_create_index", false).put("action.destructive_requires_name", true)
            .put("rest.action.multi.allow_explicit_index", false).put("script.allowed_types", "none")
            // It is alone, and shares its disk: what is left counts, and not a part of all there is.
            .put("cluster.routing.allocation.disk.watermark.low", "1gb")
            .put("cluster.routing.allocation.disk.watermark.high", "768mb")
            .put("cluster.routing.allocation.disk.watermark.flood_stage", "512mb")
            .put("cluster.info.update.interval", "10s")
            .build();
    }

    // ---- who comes in ----

    private static byte[] login(String user, String password) {
        byte[] plain = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
        return ("Basic " + Base64.getEncoder().encodeToString(plain)).getBytes(StandardCharsets.UTF_8);
    }

    private static boolean isUser(HttpRequest request) {
        List<String> shown = request.headers().getAll(HttpHeaderNames.AUTHORIZATION);
        if (shown.size() != 1) {
            return false;
        }
        byte[] given = shown.get(0).getBytes(StandardCharsets.UTF_8);
        boolean found = false;
        for (byte[] login : logins) {
            found |= MessageDigest.isEqual(login, given);
        }
        return found;
    }

    /** Stands behind the reading of heads, and before everything of OpenSearch's. */
    @ChannelHandler.Sharable
    private static final class Door extends ChannelInboundHandlerAdapter {
        private static final AttributeKey<Boolean> REFUSED = AttributeKey.valueOf("freehold.refused");
        private static final byte[] ANSWER = ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n"
            + "www-authenticate: Basic realm=\"freehold\"\r\nconnection: close\r\n\r\n").getBytes(StandardCharsets.US_ASCII);

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            boolean refused = context.channel().attr(REFUSED).get() != null;
            if (!refused && (!(message instanceof HttpRequest) || isUser((HttpRequest) message))) {
                context.fireChannelRead(message);
                return;
            }
            ReferenceCountUtil.release(message);
            if (!refused) {
                context.channel().attr(REFUSED).set(true);
                context.writeAndFlush(Unpooled.wrappedBuffer(ANSWER)).addListener(ChannelFutureListener.CLOSE);
            }
        }
    }

    // ---- what they see ----

    private static SSLContext identity(String certificate, String key) throws Exception {
        Collection<? extends Certificate> chain = CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(certificate.getBytes(StandardCharsets.US_ASCII)));
        byte[] encoded = Base64.getMimeDecoder().decode(key.replaceAll("-----[A-Z ]+-----", ""));
        char[] nobody = new char[0];
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, nobody);
        store.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(encoded)), nobody,
                          chain.toArray(new Certificate[0]));
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, nobody);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), new TrustManager[] {new Nobody()}, null);
        return context;
    }

    private static SSLEngine engine(boolean client) {
        SSLEngine engine = identity.createSSLEngine();
        engine.setEnabledProtocols(new String[] {"TLSv1.3", "TLSv1.2"});
        engine.setUseClientMode(client);
        return engine;
    }

    /** Whom a node trusts that has no others. */
    private static final class Nobody implements X509TrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
            throw new CertificateException("Nobody is trusted.");
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
            throw new CertificateException("Nobody is trusted.");
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    /** Made by OpenSearch. */
    public static final class Walls extends Plugin {
        @Override
        public Optional<SecureSettingsFactory> getSecureSettingFactory(Settings settings) {
            return Optional.of(new SecureSettingsFactory() {
                @Override
                public Optional<SecureTransportSettingsProvider> getSecureTransportSettingsProvider(Settings unused) {
                    return Optional.of(new BetweenNodes());
                }

                @Override
                public Optional<SecureHttpTransportSettingsProvider> getSecureHttpTransportSettingsProvider(Settings unused) {
                    return Optional.of(new ForUsers());
                }
            });
        }
    }

    private static final class ForUsers implements SecureHttpTransportSettingsProvider {
        @Override
        public Optional<TransportExceptionHandler> buildHttpServerExceptionHandler(Settings settings,
                                                                                   HttpServerTransport transport) {
            return Optional.of(exception -> { }); // anybody may connect, and would fill the log
        }

        @Override
        public Optional<SSLEngine> buildSecureHttpServerEngine(Settings settings, HttpServerTransport transport) {
            return Optional.of(engine(false));
        }

        @Override
        public Collection<TransportAdapterProvider<HttpServerTransport>> getHttpTransportAdapterProviders(Settings settings) {
            return List.of(new TransportAdapterProvider<HttpServerTransport>() {
                @Override
                public String name() {
                    return REQUEST_HEADER_VERIFIER;
                }

                @Override
                @SuppressWarnings("unchecked")
                public <C> Optional<C> create(Settings unused, HttpServerTransport transport, Class<C> wanted) {
                    return Optional.of((C) new Door());
                }
            });
        }
    }

    private static final class BetweenNodes implements SecureTransportSettingsProvider {
        @Override
        public Optional<SecureTransportParameters> parameters(Settings settings) {
            return Optional.of(() -> false); // no plain text
        }

        @Override
        public Optional<TransportExceptionHandler> buildServerTransportExceptionHandler(Settings settings,
                                                                                        Transport transport) {
            return Optional.of(exception -> { }); // who is refused is no news
        }

        @Override
        public Optional<SSLEngine> buildSecureServerTransportEngine(Settings settings, Transport transport) {
            SSLEngine engine = engine(false);
            engine.setNeedClientAuth(true);
            return Optional.of(engine);
        }

        @Override
        public Optional<SSLEngine> buildSecureClientTransportEngine(Settings settings, String host, int port) {
            return Optional.of(engine(true));
        }
    }
}
