#if TLS
  import VecDBBytes
  import Glibc
  import NIOSSL
  import VecDB

  /// What a node's certificate files hold, read again when one of them has changed. Files that
  /// cannot be used, as in the middle of a replacement, leave what was read before.
  final class Credentials: Sendable {
    struct Contexts {
      var server: NIOSSLContext
      var client: NIOSSLContext
      /// When the node's certificate ends, in seconds since 1970.
      var expires: Int64
      /// The node's names, in lower case.
      var names: [String]
    }

    private struct Stamp: Equatable {
      var file: UInt64
      var size: Int
      var seconds: Int
      var nanoseconds: Int

      init?(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        file = UInt64(found.st_ino)
        size = Int(found.st_size)
        seconds = found.st_mtim.tv_sec
        nanoseconds = found.st_mtim.tv_nsec
      }
    }

    private let files: CertificateFiles
    private let state: Guarded<(contexts: Contexts, stamps: [Stamp?])>

    init(_ files: CertificateFiles) throws {
      self.files = files
      // Before the files are read: a change meanwhile is seen by the next look.
      let stamps = Self.stamps(files)
      state = Guarded((try Self.read(files), stamps))
    }

    func current() -> Contexts {
      state.withLock { state in
        let stamps = Self.stamps(files)
        guard stamps != state.stamps else { return state.contexts }
        do { state = (try Self.read(files), stamps) } catch {
          // Half of the files may be new. The next connection looks again.
        }
        return state.contexts
      }
    }

    private static func stamps(_ files: CertificateFiles) -> [Stamp?] {
      [files.certificate, files.key, files.authority].map { Stamp($0) }
    }

    private static func read(_ files: CertificateFiles) throws -> Contexts {
      let chain = try reading(files.certificate, "certificate") {
        try NIOSSLCertificate.fromPEMFile($0)
      }
      try requireSecret(files.key)
      let key = try reading(files.key, "private key") {
        try NIOSSLPrivateKey(file: $0, format: .pem)
      }
      let authorities = try reading(files.authority, "authority's certificate") {
        try NIOSSLCertificate.fromPEMFile($0)
      }
      var server = TLSConfiguration.makeServerConfigurationWithMTLS(
        certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key),
        trustRoots: .certificates(authorities))
      var client = TLSConfiguration.makeClientConfiguration()
      client.certificateChain = server.certificateChain
      client.privateKey = server.privateKey
      client.trustRoots = server.trustRoots
      // Names are compared with those that are allowed, not with the address.
      client.certificateVerification = .noHostnameVerification
      server.minimumTLSVersion = .tlsv13
      client.minimumTLSVersion = .tlsv13
      server.shutdownTimeout = .seconds(1)
      client.shutdownTimeout = .seconds(1)
      do {
        return Contexts(
          server: try NIOSSLContext(configuration: server),
          client: try NIOSSLContext(configuration: client),
          expires: chain.map { Int64($0.notValidAfter) }.min() ?? 0,
          names: chain.first?.dnsNames ?? [])
      } catch {
        throw VecDBError(
          .invalidArgument, "cannot use the certificate and the key: \(error)",
          at: files.certificate, remedy: "Give the key that belongs to the certificate.")
      }
    }

    /// Refuses a key that every user of the machine may read.
    private static func requireSecret(_ path: String) throws {
      var found = stat()
      guard stat(path, &found) == 0, found.st_mode & S_IROTH != 0 else { return }
      throw VecDBError(
        .invalidArgument, "every user of this machine may read the private key", at: path,
        remedy: "Run `chmod 600` on it (in Kubernetes, give the volume a defaultMode of 0400). "
          + "Make a new key and certificate if others may have read it.")
    }

    private static func reading<Value>(
      _ path: String, _ what: String, _ body: (String) throws -> Value
    ) throws -> Value {
      do { return try body(path) } catch {
        throw VecDBError(
          .invalidArgument, "cannot read the \(what): \(error)", at: path,
          remedy: "Give a PEM file that this process may read.")
      }
    }
  }
#endif
