#include <tercet/threading/timer.hpp>

namespace tercet::threading {

timer::timer(time_limit interval, std::move_only_function<void()> call)
    : cancelled_(std::make_shared<event>()),
      thread_(thread_options{.name = "Timer"},
              [interval, cancelled = cancelled_, call = std::move(call)](std::stop_token stop) mutable {
                  const std::stop_callback at_stop(stop, [&] { cancelled->set(); });
                  if (!cancelled->wait(interval)) call();
              }) {}

}  // namespace tercet::threading
