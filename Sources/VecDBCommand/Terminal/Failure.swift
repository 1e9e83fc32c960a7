import ArgumentParser
import VecDB

/// What the command exits with.
enum ExitStatus: Int32 {
  case success = 0
  case failure = 1
  case usage = 2
  case corruption = 3
  case targetMissed = 4
}

/// An argument that only turned out wrong while the command ran.
struct UsageError: Error {
  var message: String
  var remedy: String
}

/// A target, such as a recall to reach, that was missed. What was measured has been printed.
struct TargetMissed: Error {
  var message: String
}

/// Damage that was found and has been reported.
struct CorruptionFound: Error {
  var message: String
  var location: String
  var remedy: String
}

/// An error as it is shown: one line for people, one object for programs.
struct Failure {
  var status: ExitStatus
  var code: String
  var message: String
  var location = ""
  var remedy = ""

  init(_ error: any Error) {
    let error: any Error = (error as? OutputFailure)?.error ?? error
    switch error {
    case let error as VecDBError:
      switch error.code {
      case .corrupt, .verificationFailed: status = .corruption
      default: status = .failure
      }
      code = error.code.rawValue
      message = error.message
      location = error.location
      remedy = error.remedy
    case let error as UsageError:
      (status, code) = (.usage, "usage")
      message = error.message
      remedy = error.remedy
    case let error as TargetMissed:
      (status, code, message) = (.targetMissed, "targetMissed", error.message)
    case let error as CorruptionFound:
      (status, code) = (.corruption, "corrupt")
      (message, location, remedy) = (error.message, error.location, error.remedy)
    case is CancellationError:
      (status, code, message) = (.failure, VecDBError.Code.cancelled.rawValue, "interrupted")
    default:
      (status, code, message) = (.failure, "unexpected", "\(error)")
    }
  }

  /// `message (where). Remedy.`
  var text: String {
    var text = message
    if !location.isEmpty { text += " (\(location))" }
    if !remedy.isEmpty { text += ". \(remedy)" }
    return text
  }

  var object: FailureObject {
    FailureObject(error: .init(code: code, message: message, location: location, remedy: remedy))
  }

  /// Prints the error to standard error and, for programs, as an object to standard output.
  func report(json: Bool) {
    Terminal.clearLine()
    if json { Output.json(object) }
    Output.flush()
    Terminal.message("vecdb: \(text)")
  }
}

/// `{"error":{"code":…,"message":…,"location":…,"remedy":…}}`
struct FailureObject: Encodable {
  struct Body: Encodable {
    var code: String
    var message: String
    var location: String
    var remedy: String
  }
  var error: Body
}
