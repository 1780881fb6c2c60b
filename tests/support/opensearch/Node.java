// SPDX-License-Identifier: Apache-2.0

import java.util.List;
import java.util.Map;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/** One OpenSearch node on the loopback address, without users: FOLDER PORT. It ends when it is killed. */
public class Node extends org.opensearch.node.Node {
    Node(Settings settings, List<Class<? extends Plugin>> plugins) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "freehold"), plugins, true);
    }

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
            .put("path.home", arguments[0]).put("path.data", arguments[0] + "/data")
            .put("network.host", "127.0.0.1").put("http.port", arguments[1]).put("transport.port", "0")
            .put("discovery.type", "single-node").put("node.processors", 1)
            .put("transport.type", "netty4").put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        new Node(settings, List.of(Netty4Plugin.class, CommonAnalysisPlugin.class)).start();
        Thread.currentThread().join();
    }
}
