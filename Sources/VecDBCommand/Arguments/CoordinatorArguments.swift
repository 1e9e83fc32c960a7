import ArgumentParser
import VecDB
import VecDBCoordination

/// How the coordinator is reached.
struct CoordinatorArguments: ParsableArguments {
  @Option(help: "The coordinator, as etcd://host:port,host:port (or etcds:// for TLS).")
  var coordinator: String
  @Option(help: "The coordinator's certificate authority, in PEM.", completion: .file())
  var coordinatorCa: String?
  @Option(help: "This client's certificate for the coordinator, in PEM.", completion: .file())
  var coordinatorCert: String?
  @Option(help: "The key of that certificate, in PEM.", completion: .file())
  var coordinatorKey: String?
  @Option(help: "The user's name at the coordinator.")
  var coordinatorUser: String?
  @Option(help: "File with that user's password.", completion: .file())
  var coordinatorPasswordFile: String?

  func validate() throws {
    guard (coordinatorUser == nil) == (coordinatorPasswordFile == nil) else {
      throw ValidationError("Give --coordinator-user and --coordinator-password-file together.")
    }
  }

  func value() throws -> Coordinator {
    var value = try Coordinator(coordinator)
    value.certificates = .init(
      authority: coordinatorCa, certificate: coordinatorCert, key: coordinatorKey)
    if let coordinatorUser, let coordinatorPasswordFile {
      let password = try SecretFile.firstLine(
        of: coordinatorPasswordFile, "password for the coordinator",
        remedy: "Write it into the first line of the file.")
      value.user = .init(name: coordinatorUser, password: password)
    }
    return value
  }
}
