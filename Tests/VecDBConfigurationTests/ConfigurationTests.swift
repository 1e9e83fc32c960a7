#if Configuration
  import Configuration
  import Foundation
  import Testing
  import VecDB
  import VecDBConfiguration
  import VecDBReplication

  /// Options from settings: every key, the defaults, and errors that name the key.
  @Suite struct ConfigurationTests {
    private static func reader(_ variables: [String: String]) -> ConfigReader {
      ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: variables))
        .scoped(to: "vecdb")
    }

    private static func expectInvalid(
      _ key: String, sourceLocation: SourceLocation = #_sourceLocation,
      _ body: () throws -> Void
    ) {
      do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
      } catch let error as VecDBError {
        #expect(error.code == .invalidArgument, sourceLocation: sourceLocation)
        #expect(error.location.contains(key), "\(error)", sourceLocation: sourceLocation)
      } catch { Issue.record("not a VecDBError: \(error)", sourceLocation: sourceLocation) }
    }

    @Test func withoutSettingsEverythingIsTheDefault() throws {
      let configuration = try DatabaseConfiguration(config: Self.reader([:]))
      let usual = DatabaseConfiguration()
      #expect(configuration.buildThreads == usual.buildThreads)
      #expect(configuration.checkpointLogBytes == usual.checkpointLogBytes)
      #expect(configuration.slowSearch == usual.slowSearch)
      #expect(configuration.archive == nil && configuration.repositoryKey == nil)
      #expect(configuration.rebuildPolicy == usual.rebuildPolicy)
    }

    @Test func everyKeyOfADatabaseIsRead() throws {
      let configuration = try DatabaseConfiguration(
        config: Self.reader([
          "VECDB_CREATE_IF_MISSING": "false", "VECDB_BUILD_THREADS": "3",
          "VECDB_CHECKPOINT_REPLAY_MILLISECONDS": "700", "VECDB_CHECKPOINT_LOG_BYTES": "1048576",
          "VECDB_CHECKPOINT_ON_CLOSE": "false", "VECDB_WRITE_QUEUE_BYTES": "4096",
          "VECDB_WRITE_QUEUE_TIMEOUT_MILLISECONDS": "100", "VECDB_LOG_SEGMENT_BYTES": "2097152",
          "VECDB_CONTROL_SOCKET": "false", "VECDB_SLOW_SEARCH_MILLISECONDS": "25",
          "VECDB_BACKUP_BYTES_PER_SECOND": "1000", "VECDB_ARCHIVE_LOG_BYTES": "5000",
          "VECDB_SCRUB_BYTES_PER_SECOND": "0", "VECDB_SCRUB_INTERVAL_SECONDS": "60",
          "VECDB_REBUILD_POLICY": "suggest", "VECDB_ARCHIVE_REPOSITORY": "/backup",
          "VECDB_ARCHIVE_INTERVAL_MILLISECONDS": "250",
        ]))
      #expect(!configuration.createIfMissing && configuration.buildThreads == 3)
      #expect(configuration.checkpointReplayMilliseconds == 700)
      #expect(configuration.checkpointLogBytes == 1_048_576 && !configuration.checkpointOnClose)
      #expect(configuration.writeQueueBytes == 4_096)
      #expect(configuration.writeQueueTimeoutMilliseconds == 100)
      #expect(configuration.logSegmentBytes == 2_097_152 && !configuration.controlSocket)
      #expect(configuration.slowSearch == .milliseconds(25))
      #expect(configuration.backupBytesPerSecond == 1_000 && configuration.archiveLogBytes == 5_000)
      #expect(configuration.scrubBytesPerSecond == nil && configuration.scrubIntervalSeconds == 60)
      #expect(configuration.rebuildPolicy == .suggest)
      #expect(configuration.archive?.repository == "/backup")
      #expect(configuration.archive?.intervalMilliseconds == 250)
    }

    @Test func aWrongValueIsAnErrorThatNamesItsKey() {
      for (key, value) in [
        ("BUILD_THREADS", "many"), ("BUILD_THREADS", "-1"), ("CHECKPOINT_ON_CLOSE", "perhaps"),
        ("WRITE_QUEUE_BYTES", "0"), ("REBUILD_POLICY", "sometimes"),
        ("LOG_SEGMENT_BYTES", "99999999999999999999"),
      ] {
        let name = key.lowercased().split(separator: "_").enumerated().map {
          $0.offset == 0 ? String($0.element) : $0.element.capitalized
        }.joined()
        Self.expectInvalid(name) {
          _ = try DatabaseConfiguration(config: Self.reader(["VECDB_\(key)": value]))
        }
      }
      Self.expectInvalid("repository") { _ = try ArchiveOptions(config: Self.reader([:])) }
    }

    @Test func everyKeyOfANodeIsRead() throws {
      let options = try ReplicationOptions(
        config: Self.reader([
          "VECDB_NAME": "a", "VECDB_LISTEN": "127.0.0.1:7000",
          "VECDB_PEERS": "127.0.0.1:7001,[::1]:7002", "VECDB_INSECURE_LOOPBACK": "true",
          "VECDB_START_PATIENCE_MILLISECONDS": "900", "VECDB_RETAINED_LOG_BYTES": "1000",
          "VECDB_WINDOW_BYTES": "2000", "VECDB_CONNECTIONS_MAXIMUM": "9",
          "VECDB_ACKNOWLEDGEMENT_REPLICAS": "b,c", "VECDB_ACKNOWLEDGEMENT_NEEDED": "2",
          "VECDB_ACKNOWLEDGEMENT_MAXIMUM_LAG": "4",
          "VECDB_ACKNOWLEDGEMENT_TIMEOUT_MILLISECONDS": "77",
          "VECDB_ACKNOWLEDGEMENT_DEGRADES": "true",
        ]))
      #expect(options.name == "a" && options.listen == NodeAddress("127.0.0.1:7000"))
      #expect(options.peers.map(\.port) == [7_001, 7_002])
      #expect(options.startPatienceMilliseconds == 900 && options.retainedLogBytes == 1_000)
      #expect(options.windowBytes == 2_000 && options.connectionsMaximum == 9)
      #expect(
        options.acknowledgement
          == AcknowledgementOptions(
            replicas: ["b", "c"], needed: 2, maximumLag: 4, timeout: .milliseconds(77),
            degrades: true))
      let waiting = try ReplicationOptions(
        config: Self.reader([
          "VECDB_NAME": "a", "VECDB_INSECURE_LOOPBACK": "true",
          "VECDB_START_WAITS_FOR_EVER": "true", "VECDB_ACKNOWLEDGEMENT_ASYNCHRONOUS": "true",
        ]))
      #expect(waiting.startPatienceMilliseconds == nil)
      #expect(waiting.acknowledgement == .asynchronous)
    }

    @Test func aNodeNeedsANameAndProtection() {
      Self.expectInvalid("name") { _ = try ReplicationOptions(config: Self.reader([:])) }
      Self.expectInvalid("tlsCertificateFile") {
        _ = try ReplicationOptions(config: Self.reader(["VECDB_NAME": "a"]))
      }
      Self.expectInvalid("peers") {
        _ = try ReplicationOptions(
          config: Self.reader([
            "VECDB_NAME": "a", "VECDB_INSECURE_LOOPBACK": "true", "VECDB_PEERS": "nowhere",
          ]))
      }
    }

    @Test func aSecretIsMarkedAsOne() throws {
      let log = AccessLog()
      let config = ConfigReader(
        provider: EnvironmentVariablesProvider(
          environmentVariables: ["VECDB_REPOSITORY_PASSPHRASE": "correct horse battery"]),
        accessReporter: log
      ).scoped(to: "vecdb")
      #if Encryption
        #expect(try DatabaseConfiguration(config: config).repositoryKey != nil)
      #else
        Self.expectInvalid("repositoryKeyFile") { _ = try DatabaseConfiguration(config: config) }
      #endif
      #expect(log.secretKeys.contains("vecdb.repositoryPassphrase"), "\(log.secretKeys)")
    }

    private final class AccessLog: AccessReporter {
      private let lock = NSLock()
      nonisolated(unsafe) private var keys: Set<String> = []

      var secretKeys: Set<String> { lock.withLock { keys } }

      func report(_ event: AccessEvent) {
        let isSecret = (try? event.result.get())??.isSecret ?? false
        guard isSecret else { return }
        lock.withLock { _ = keys.insert("\(event.metadata.key)") }
      }
    }
  }
#endif
