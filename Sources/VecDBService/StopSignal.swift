#if Service
  import ServiceLifecycle

  /// What ends a service: a graceful shutdown or the cancellation of its task.
  enum StopSignal {
    static func wait() async {
      do { try await gracefulShutdown() } catch is CancellationError {
        // The other way of being told to stop.
        return
      } catch {
        return
      }
    }
  }
#endif
